CREATE TABLE items (id INT PRIMARY KEY, "order" INT) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0);
CREATE VIEW placed AS SELECT o.id, c.name FROM orders o JOIN customers AS c ON o.customer = c.id;
