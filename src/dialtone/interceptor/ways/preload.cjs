// Leads every connection of a Node process to the interceptor: `node --require preload.cjs`, by NODE_OPTIONS for all.
// fetch (undici), http, https and tls all end in net.Socket.connect; only the address is changed there, so that the
// server name and its verification stay what the application asked for. Whoever is not in the table and not on
// loopback cannot be reached: an application under faults must not meet a real provider by accident.
'use strict';
const net = require('node:net');
const dgram = require('node:dgram');
const fs = require('node:fs');

const table = JSON.parse(process.env.DIALTONE_REDIRECT || '{}');
const loopback = /^(localhost|127\.\d+\.\d+\.\d+|::1|0\.0\.0\.0|::)$/;
const connect = net.Socket.prototype.connect;

// Names that do not resolve at the moment: the interceptor writes them while a fault says so.
function unresolved(host) {
  try {
    const names = fs.readFileSync(process.env.DIALTONE_UNRESOLVED, 'utf8').split('\n');
    const name = host.toLowerCase().replace(/\.$/, '');
    return names.includes(name) || names.includes('*.' + name.slice(name.indexOf('.') + 1));
  } catch {
    return false;
  }
}

function place(host) {
  const name = host.toLowerCase().replace(/\.$/, '');
  return table[name] || table['*.' + name.slice(name.indexOf('.') + 1)];
}

net.Socket.prototype.connect = function (...args) {
  const first = Array.isArray(args[0]) ? args[0] : args;
  let options = first[0];
  let listener = first.find((one) => typeof one === 'function');
  if (typeof options !== 'object' || options === null) {
    if (typeof options === 'string' && Number.isNaN(Number(options))) return connect.apply(this, args); // a UNIX socket
    options = { port: options, host: typeof first[1] === 'string' ? first[1] : 'localhost' };
  }
  if (options.path || options.fd !== undefined) return connect.apply(this, args);
  const host = options.host || 'localhost';
  const found = place(host);
  if (found && unresolved(host)) {
    const error = new Error(`getaddrinfo ENOTFOUND ${host}`);
    Object.assign(error, { errno: -3008, code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: host });
    process.nextTick(() => this.destroy(error));
    return this;
  }
  if (found) {
    const [address, port] = found;
    // A copy: TLS looks at the original for the name that it verifies.
    return connect.call(this, Object.assign({}, options, { host: address, port, lookup: undefined }), listener);
  }
  if (!loopback.test(host)) {
    const error = new Error(`dialtone: ${host} is not led to the interceptor: add it to its hosts`);
    error.code = 'ECONNREFUSED';
    process.nextTick(() => this.destroy(error));
    return this;
  }
  return connect.apply(this, args);
};

// QUIC and other UDP would bypass all of this.
const send = dgram.Socket.prototype.send;
dgram.Socket.prototype.send = function (...args) {
  const to = args.find((one) => typeof one === 'string' && one.includes('.'));
  if (to && !loopback.test(to)) throw new Error(`dialtone: no UDP to ${to}`);
  return send.apply(this, args);
};
