"""The callback that generates samples during training, to show the model improve."""

from contextlib import nullcontext
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from simplegpt.cli import UserError
from simplegpt.config.schema import Config, SamplesConfig
from simplegpt.data.chat import ChatMessage, ChatTemplate, encode_prompt
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.inference.generation import Generation, TextStream
from simplegpt.run.events import Sample
from simplegpt.train.module import GPTModule
from simplegpt.train.recorder import Recorder, ends_step


class Samples(Callback):
    """Continues the prompts of ``[samples]`` with the current model.

    With a chat template, each prompt is a message of the user, which the model answers. The prompts
    are encoded at the start, so that one that the tokenizer cannot encode is a UserError before the
    run, not during it.
    """

    def __init__(
        self,
        samples: SamplesConfig,
        config: Config,
        chat_template: ChatTemplate | None,
        recorder: Recorder,
    ) -> None:
        self.samples = samples
        self.tokenizer = load_tokenizer(config.tokenizer_name)
        self.n_ctx = config.model.n_ctx
        self.is_chat = chat_template is not None
        self.prompts = {prompt: self._encode(prompt) for prompt in samples.prompts}
        self.recorder = recorder

    def _encode(self, prompt: str) -> list[int]:
        if not self.is_chat:
            return self.tokenizer.encode(prompt)
        message = ChatMessage(role="user", content=prompt)
        return encode_prompt([message], self.tokenizer, self.n_ctx).ids

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if ends_step(trainer, batch_idx) and trainer.global_step % self.samples.every_n_steps == 0:
            assert isinstance(pl_module, GPTModule)
            self.generate(trainer, pl_module)

    def generate(self, trainer: Trainer, module: GPTModule) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        with self.recorder.activity("sampling"):
            for prompt, ids in self.prompts.items():
                try:
                    text = self._continue(trainer, module, ids)
                except UserError as error:  # the output is NaN: no reason to end the run
                    self.recorder.warn(f"no sample at step {step:,}: {error.args[0]}")
                    return
                before = f"{prompt}\n" if self.is_chat else prompt
                self.recorder.record(Sample(step=step, prompt=before, text=text))
                self.recorder.print(f"step {step:,}: {before}{text}\n")

    def _continue(self, trainer: Trainer, module: GPTModule, ids: list[int]) -> str:
        """Return the continuation of the prompt `ids`, up to its end, a stop string or the length.

        Only an answer has an end; after the end of a text, another document follows.
        """
        generation = Generation(
            module.gpt,
            prompts=[ids],
            n_tokens=self.samples.n_tokens_to_generate,
            batch_size=1,
            sampling=self.samples,
            n_vocab=min(self.tokenizer.n_vocab, module.gpt.config.n_vocab),
        )
        stream = TextStream(self.tokenizer, self.samples.stop)
        pieces = []
        # generation has changing shapes: compiling each would take longer than generating
        eager = torch.compiler.set_stance("force_eager") if module.is_compiled else nullcontext()
        module.eval()
        with eager, trainer.precision_plugin.val_step_context():
            for tokens in generation:
                if self.is_chat and tokens[0].id == self.tokenizer.end_of_text:
                    break
                pieces += stream.push(tokens[0])
                if stream.stopped:
                    break
        module.train()
        return "".join(piece.text for piece in [*pieces, *stream.flush()])
