"""OpenAI's Responses dialect, POST /v1/responses, without state: a request brings its whole conversation.

What chat cannot say is left out on the way there: encrypted reasoning, hosted tools but for web search and their items,
compaction, `truncation`, `include`, logprobs, annotations. On the way back: `stop`, `n`, `seed`, penalties, logit_bias,
audio, prediction, functions of the old kind, reasoning. A content part without a chat form stays, to be refused.
"""
