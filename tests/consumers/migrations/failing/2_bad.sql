-- The second statement is wrong.
CREATE TABLE one (id INT);

CREATE TABLE one (id INT);
