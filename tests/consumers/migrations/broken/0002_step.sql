CREATE TABLE b (id INT, fore TEXT);
