"""Text generated in the middle of a training, so that one sees it improve."""

from simplegpt.config.schema import Config
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.inference.generation import Generation, TextStream
from simplegpt.train.module import GPTModule


class SampleWriter:
    """Continues the prompts of ``[samples]`` with the model as it is.

    The prompts are encoded at the start: one that the tokenizer cannot take is a UserError then,
    and not the end of a run that has gone on for hours.
    """

    def __init__(self, config: Config) -> None:
        self.samples = config.samples
        self.tokenizer = load_tokenizer(config.tokenizer_name)
        prompts = [] if self.samples is None else self.samples.prompts
        self.ids = {prompt: self.tokenizer.encode(prompt) for prompt in prompts}

    def write(self, module: GPTModule, prompt: str) -> str:
        """What follows `prompt`, up to a stop string or the number of tokens asked for."""
        if self.samples is None:
            return ""
        gpt = module.gpt
        # one token at a time, in ever new shapes: compiling them would take longer than they do
        compiled, gpt._compiled_call_impl = gpt._compiled_call_impl, None
        module.eval()
        try:
            with module.trainer.precision_plugin.val_step_context():
                generation = Generation(
                    gpt,
                    prompts=[self.ids[prompt]],
                    n_tokens=self.samples.n_tokens_to_generate,
                    batch_size=1,
                    sampling=self.samples,
                    n_vocab=min(self.tokenizer.n_vocab, gpt.config.n_vocab),
                )
                return self._text(generation)
        finally:
            module.train()
            gpt._compiled_call_impl = compiled

    def _text(self, generation: Generation) -> str:
        assert self.samples is not None
        stream = TextStream(self.tokenizer, self.samples.stop)
        pieces = []
        for tokens in generation:
            pieces += stream.push(tokens[0])
            if stream.stopped:
                break
        return "".join(piece.text for piece in [*pieces, *stream.flush()])
