CREATE TABLE a (id INT, first TEXT);
