-- The second statement is wrong.
CREATE TABLE first (id INT);

CREATE TABLE first (id INT);
