"""Prompts: one message for sampling, training and evaluation."""

from axiom.problems import generate
from axiom.prompts import messages, render


def test_one_message_serves_every_purpose():
    class Tokenizer:
        def apply_chat_template(self, chat, tokenize, add_generation_prompt):
            assert not tokenize
            assert add_generation_prompt
            return f"<user>{chat[0]['content']}</user><assistant>"

    (problem,) = generate("list_sort", (1, 1), 1, 0)
    assert render(problem, Tokenizer()) == f"<user>{messages(problem)[0]['content']}</user><assistant>"
