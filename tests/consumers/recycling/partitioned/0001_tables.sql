CREATE TABLE plain (id INT PRIMARY KEY, name TEXT) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0);
CREATE TABLE spread (id INT, value DOUBLE) CLUSTERED INTO 3 SHARDS WITH (number_of_replicas = 0);
CREATE TABLE open (id INT, o OBJECT(DYNAMIC)) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0);
CREATE TABLE twice (value INT, doubled INT GENERATED ALWAYS AS value * 2)
CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0);
CREATE TABLE stations (id TEXT PRIMARY KEY, name TEXT) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0);
CREATE VIEW named AS SELECT id, name FROM plain WHERE name IS NOT NULL;
INSERT INTO stations (id, name) VALUES ('n', 'North'), ('s', 'South');
