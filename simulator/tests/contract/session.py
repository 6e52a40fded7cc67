"""A session by the Python client `crate`: prints one JSON object with what each step gave.

Arguments: the address, then nothing, or `basic USER`, or `bearer`; the password or token is in CONTRACT_SECRET.
"""

import datetime
import json
import os
import sys

from crate import client
from crate.client import exceptions
from crate.client.converter import DefaultTypeConverter

url, how = sys.argv[1], sys.argv[2:]
secret = os.environ.get("CONTRACT_SECRET")
login = {}
if how[:1] == ["basic"]:
    login = {"username": how[1], "password": secret}
elif how[:1] == ["bearer"]:
    login = {"jwt_token": secret}

found = {}


def failure(step):
    try:
        step()
    except exceptions.Error as error:
        return [type(error).__name__, str(error)]
    return None


with client.connect(url, schema="contract", converter=None, **login) as connection:
    cursor = connection.cursor()

    def ask(statement, parameters=None):
        cursor.execute(statement, parameters)
        return cursor.fetchall()

    found["lowest server version"] = str(connection.lowest_server_version)
    found["user"] = ask("SELECT current_user, current_schema")
    ask("""CREATE TABLE readings (id INT PRIMARY KEY, at TIMESTAMP WITH TIME ZONE, place OBJECT(STRICT) AS (city TEXT, floor INT),
           tags ARRAY(TEXT), value DOUBLE PRECISION, ok BOOLEAN, big BIGINT)""")
    found["create again"] = failure(lambda: ask("CREATE TABLE readings (id INT)"))

    row = (1, "2026-01-05T10:00:00.250Z", {"city": "Dornbirn", "floor": 2}, ["a", "ü"], 21.5, True, 2**62)
    ask("INSERT INTO readings (id, at, place, tags, value, ok, big) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    found["insert"] = cursor.rowcount
    found["duplicate"] = failure(lambda: ask("INSERT INTO readings (id) VALUES (?)", (1,)))
    # More than 8 KiB: the client compresses it. The last one is there already.
    many = [(i, "x" * 100) for i in range(2, 202)] + [(1, "y")]
    bulk = cursor.executemany("INSERT INTO readings (id, tags) VALUES (?, [?])", many)
    found["bulk"] = [len(bulk), [one["rowcount"] for one in bulk][-2:]]
    found["bulk of names"] = [
        one["rowcount"]
        for one in cursor.executemany(
            "INSERT INTO readings (id, value) VALUES (%(id)s, %(value)s)", [{"id": 300, "value": 0.5}, {"id": 301, "value": None}]
        )
    ]
    ask("REFRESH TABLE readings")
    found["count"] = ask("SELECT count(*) FROM readings")
    found["row"] = ask("SELECT * FROM readings WHERE id = 1")
    found["columns"] = [column[0] for column in cursor.description]
    found["inside"] = ask("SELECT place['city'], tags[2], value * 2, ok FROM readings WHERE id = ?", (1,))
    found["by name"] = ask("SELECT id FROM readings WHERE id = %(id)s OR value = %(value)s ORDER BY id", {"id": 1, "value": 0.5})
    found["nulls"] = ask("SELECT at, place, value, ok FROM readings WHERE id = 2")
    found["update"] = [ask("UPDATE readings SET value = 1 WHERE id < ?", (11,)), cursor.rowcount][1]
    found["delete"] = [ask("DELETE FROM readings WHERE id = ?", (300,)), cursor.rowcount][1]
    cursor.execute("SELECT id FROM readings ORDER BY id LIMIT 3")
    found["one by one"] = [cursor.fetchone(), cursor.fetchmany(1), cursor.fetchall(), cursor.fetchone()]

    converting = connection.cursor(converter=DefaultTypeConverter(), time_zone=datetime.timezone.utc)
    converting.execute("SELECT at FROM readings WHERE id = 1")
    found["converted"] = str(converting.fetchone()[0])

    found["unknown relation"] = failure(lambda: ask("SELECT * FROM nobody"))
    found["unknown column"] = failure(lambda: ask("SELECT nobody FROM readings"))
    found["syntax"] = failure(lambda: ask("SELEC 1"))
    found["wrong type"] = failure(lambda: ask("INSERT INTO readings (id) VALUES ('x')"))
    found["refused"] = failure(lambda: ask("SELECT * FROM sys.jobs_log"))
    ask("DROP TABLE readings")
    found["dropped"] = failure(lambda: ask("SELECT * FROM readings"))

print(json.dumps(found))
