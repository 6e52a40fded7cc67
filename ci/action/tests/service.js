// A stand-in of GitHub's cache service and of the storage behind it.
'use strict';

const assert = require('node:assert');
const http = require('node:http');

const TOKEN = 'token-of-the-tests';

/** Answers as the service does, as far as the action knows it. */
class Service {
  entries = new Map();
  calls = [];
  /** A status with which every request for a path is answered. */
  fault = undefined;

  async start() {
    this.server = http.createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const answer = this.answer(request, Buffer.concat(chunks));
      response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' });
      response.end(Buffer.isBuffer(answer.body) ? answer.body : JSON.stringify(answer.body ?? {}));
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}/`;
  }

  answer(request, bytes) {
    const name = request.url.split('?')[0].split('/').at(-1);
    this.calls.push(name);
    if (this.fault && name === this.fault.name) return { status: this.fault.status, body: { msg: 'on purpose' } };
    if (request.url.startsWith('/storage/')) return this.store(request, name, bytes);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return { status: 401 };
    assert.match(request.url, /^\/twirp\/github\.actions\.results\.api\.v1\.CacheService\//);
    return this[name](JSON.parse(bytes));
  }

  store(request, id, bytes) {
    const entry = [...this.entries.values()].find((entry) => entry.id === id);
    // The storage knows its requests by what is signed in their address.
    assert.strictEqual(request.headers.authorization, undefined);
    assert.match(request.url, /\?sig=secret$/);
    if (request.method === 'GET') return { body: entry.bytes };
    assert.strictEqual(request.headers['x-ms-blob-type'], 'BlockBlob');
    assert.strictEqual(request.headers['transfer-encoding'], undefined);
    entry.bytes = bytes;
    return { status: 201 };
  }

  CreateCacheEntry({ key, version }) {
    if (this.entries.has(key)) return { status: 409, body: { code: 'already_exists' } };
    const id = String(this.entries.size);
    this.entries.set(key, { id, key, version, done: false });
    return { body: { ok: true, signed_upload_url: `${this.url}storage/${id}?sig=secret` } };
  }

  FinalizeCacheEntryUpload({ key, version, size_bytes: size }) {
    const entry = this.entries.get(key);
    entry.done = entry.version === version && Number(size) === entry.bytes.length;
    return { body: { ok: entry.done, entry_id: entry.id } };
  }

  GetCacheEntryDownloadURL({ key, restore_keys: keys, version }) {
    const begins = (entry) => [key, ...keys].some((one) => entry.key.startsWith(one));
    const usable = [...this.entries.values()].filter((entry) => entry.done && entry.version === version);
    const entry = usable.findLast(begins);
    if (!entry) return { body: { ok: false, signed_download_url: '', matched_key: '' } };
    const address = `${this.url}storage/${entry.id}?sig=secret`;
    return { body: { ok: true, signed_download_url: address, matched_key: entry.key } };
  }
}

module.exports = { Service, TOKEN };
