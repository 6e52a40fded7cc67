DROP TABLE items; this is never executed
