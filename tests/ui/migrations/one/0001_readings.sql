CREATE TABLE readings (id INT);
