-- Orders and who places them; more in doc.customers, which is none of ours.
CREATE TABLE customers (id INT PRIMARY KEY, name TEXT) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0);

CREATE TABLE orders (id INT PRIMARY KEY, customer INT, note TEXT DEFAULT 'a; b')
CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0);
