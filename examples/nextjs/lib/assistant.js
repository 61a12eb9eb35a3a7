// A call in the browser with the voice assistant: nice to have, so a booking does not depend on it.
export async function startCall(shop) {
  try {
    const answer = await fetch('https://api.retellai.com/v2/create-web-call', {
      method: 'POST',
      headers: { authorization: `Bearer ${process.env.RETELL_API_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ agent_id: 'agent_barber', metadata: { shop } }),
      signal: AbortSignal.timeout(1200),
    });
    return answer.ok ? (await answer.json()).access_token : null;
  } catch (error) {
    console.error('no assistant', error.message);
    return null;
  }
}
