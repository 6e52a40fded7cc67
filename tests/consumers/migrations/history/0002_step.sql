CREATE TABLE b (id INT, first TEXT);
