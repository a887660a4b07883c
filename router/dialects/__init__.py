"""The wire formats of clients and upstreams, each translated to and from one hub: OpenAI's chat form."""
