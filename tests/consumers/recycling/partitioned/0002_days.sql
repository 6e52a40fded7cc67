CREATE TABLE days (day INT, value INT) PARTITIONED BY (day) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0);
