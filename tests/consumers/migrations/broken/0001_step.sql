CREATE TABLE a (id INT, fore TEXT);
