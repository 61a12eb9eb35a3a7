"""Standard Webhooks, as Svix and Resend send them: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64>`.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md; the secret is the
base64 after `whsec_`, 300 s both ways.
"""

from dialtone.signing.configured import Hmac

SCHEME = Hmac(
    header="webhook-signature",
    value="v1,{digest}",
    message="{id}.{timestamp}.{body}",
    encoding="base64",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    key_prefix="whsec_",
    key_encoding="base64",
)
