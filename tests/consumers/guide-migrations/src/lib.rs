//! Stands for the project of whoever follows the guide; its migrations and its tests are the blocks of the page.
