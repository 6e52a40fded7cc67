CREATE TABLE own (id INT);
CREATE TABLE IF NOT EXISTS doc.shared_by_all (id INT);
