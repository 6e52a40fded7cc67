//! Stands for the project of a reader who follows the guide. Its migrations and tests are the blocks of the page.
