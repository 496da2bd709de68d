"""Which loss a checkpoint is shown with."""

from simplegpt.run.events import CheckpointSaved, Validation
from tui.shared.history import History
from tui.training.checkpoints_panel import checkpoint_rows


def test_checkpoint_shows_the_loss_of_its_own_step_or_none() -> None:
    history = History()
    for step, loss in ((50, float("nan")), (100, 2.0), (150, 2.5)):
        history.apply(Validation(step=step, tokens=step, val_loss=loss))
    for step, name in ((100, "best"), (142, "last"), (50, "step-50")):
        # the event has the last val loss, whatever step it was measured at
        history.apply(CheckpointSaved(step=step, path=f"ckpts/{name}.ckpt", val_loss=2.0))
    rows = {row.step: (str(row.val_loss), row.is_best) for row in checkpoint_rows(history)}
    assert rows == {50: ("nan", False), 142: ("None", False), 100: ("2.0", True)}
