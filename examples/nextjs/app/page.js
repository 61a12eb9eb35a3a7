'use client';

import { useState } from 'react';

export default function Page() {
  const [told, setTold] = useState('');

  async function book(event) {
    event.preventDefault();
    const asked = Object.fromEntries(new FormData(event.target));
    const answer = await fetch('/api/bookings', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
      body: JSON.stringify(asked),
    });
    setTold(answer.ok ? 'See you then.' : 'That did not work: call us, please.');
  }

  return (
    <main>
      <h1>Kees the barber</h1>
      <form onSubmit={book}>
        <input name="shop" placeholder="shop" required />
        <input name="phone" type="tel" placeholder="+15551234567" required />
        <input name="at" type="datetime-local" required />
        <button>Book</button>
      </form>
      <p role="status">{told}</p>
    </main>
  );
}
