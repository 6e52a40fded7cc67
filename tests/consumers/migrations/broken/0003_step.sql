CREATE TABLE c (id INT, fore TEXT);
