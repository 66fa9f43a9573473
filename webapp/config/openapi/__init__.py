"""The OpenAPI document of the API: public, with examples, and versioned as docs/openapi.json."""
