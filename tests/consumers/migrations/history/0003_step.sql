CREATE TABLE c (id INT, first TEXT);
