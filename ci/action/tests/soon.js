// Makes the clock of a process run 600 times as fast, for deadlines.
'use strict';

const [now, start] = [Date.now, Date.now()];
Date.now = () => start + (now() - start) * 600;
