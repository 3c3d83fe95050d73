"""Run one row: train its model, or find it trained, and score it on the test images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sac_wsi.evaluate.model import evaluate_model
from sac_wsi.model.predict.choose import choose_segmenter, merged
from sac_wsi.model.predict.torch_runner import one_thread
from sac_wsi.reproduce.audit import SplitAudit
from sac_wsi.reproduce.dataset_images import DatasetImages, audit_split, open_dataset_images
from sac_wsi.reproduce.experiment import Dataset, Experiment
from sac_wsi.reproduce.history import read_history
from sac_wsi.reproduce.inputs import Inputs, missing_inputs
from sac_wsi.reproduce.results import RunResult
from sac_wsi.reproduce.scale import Scale
from sac_wsi.reproduce.train_run import refuse_changed_run, train_run
from sac_wsi.reproduce.training_config import data_settings, inference, model_mpp, train_config
from sac_wsi.reproduce.untrained import write_untrained
from sac_wsi.train.log import Listener
from sac_wsi.train.run_folder import LOG

if TYPE_CHECKING:
    from sac_wsi.errors import DataError
    from sac_wsi.evaluate.metrics import Scores
    from sac_wsi.reproduce.rows import Row, Target
    from sac_wsi.train.config import TrainConfig

OnImage = Callable[[str], None]


@dataclass(frozen=True)
class Callbacks:
    """Functions that show progress.

    learning  receives the name of a run and returns the listener of its training
    images    receives a task and the number of its images
    on_bad    receives the error of an image that was left out
    """

    learning: Callable[[str], AbstractContextManager[Listener]] = lambda name: nullcontext(Listener())
    images: Callable[[str, int], AbstractContextManager[OnImage]] = lambda what, count: nullcontext(
        lambda name: None
    )
    on_bad: Callable[[str], None] = lambda text: None


@dataclass
class RowRunner:
    """Runs the rows of any table and opens each dataset once.

    out      folder of all runs at this scale
    changes  changed training settings, from ``training_config.read_overrides``
    """

    scale: Scale
    inputs: Inputs
    out: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Callbacks = field(default_factory=Callbacks)
    _sets: dict[Dataset, DatasetImages] = field(default_factory=dict)
    _audits: dict[Dataset, SplitAudit | None] = field(default_factory=dict)

    def prepare(self, targets: Iterable[Target]) -> None:
        """Check all inputs and settings, so that errors show before any training."""
        for run in dict.fromkeys(row.run for target in targets for row in target.rows if row.run):
            here = self.scale.of(run)
            data_settings(run.dataset, self.scale, self.inputs, self.changes)
            config = self._config(here) if run.learns else None
            if missing_inputs(run, self.scale, self.inputs.available):
                continue
            opened = self._set(run.dataset)
            if config is not None:
                refuse_changed_run(config, opened.source)

    def run_row(self, row: Row) -> RunResult:
        """Train and score ``row.run``, which is already at this scale."""
        assert row.run is not None
        with nullcontext() if self.scale.from_sam else one_thread():
            return self._train_and_score(row.run) if row.run.learns else self._score_sam(row.run)

    def _score_sam(self, run: Experiment) -> RunResult:
        weights = self._sam(run)
        settings = merged(asdict(inference(run)), self.changes.get("inference", {}))
        return RunResult(self._score(run, weights, settings), checkpoint=str(weights))

    def _train_and_score(self, run: Experiment) -> RunResult:
        config = self._config(run)
        with self.callbacks.learning(run.name) as listener:
            weights = train_run(config, self._set(run.dataset).source, listener)
        schedule = config.schedule
        past = read_history(weights.with_name(LOG), min(schedule.validate_every, schedule.epochs))
        return RunResult(
            # our own checkpoints hold their settings
            self._score(run, weights, {}, config.base),
            seconds_per_epoch=past.seconds_per_epoch,
            train_minutes=past.minutes,
            checkpoint=str(weights),
            dice_curve=past.curve,
        )

    def audit(self, dataset: Dataset) -> SplitAudit | None:
        """Return the check of a dataset's split, computed once; None if its images are not available."""
        if dataset not in self._audits:
            self._audits[dataset] = self._audit(dataset)
        return self._audits[dataset]

    def _audit(self, dataset: Dataset) -> SplitAudit | None:
        if self.scale.from_sam and dataset not in self.inputs.data:
            return None
        opened = self._set(dataset)
        if opened.audited is None:
            return None
        with self.callbacks.images(f"check {dataset}", len(opened.audited)) as on_image:
            return audit_split(opened, on_image)

    def _set(self, dataset: Dataset) -> DatasetImages:
        if dataset not in self._sets:
            settings = data_settings(dataset, self.scale, self.inputs, self.changes)
            mpp = model_mpp(dataset, self.scale)
            self._sets[dataset] = open_dataset_images(
                dataset, settings, mpp, self.scale.side_px, self.inputs.test.get(dataset)
            )
        return self._sets[dataset]

    def _config(self, run: Experiment) -> TrainConfig:
        return train_config(run, self.scale, self.inputs, self.out, self.changes)

    def _sam(self, run: Experiment) -> Path:
        if self.scale.from_sam:
            return self.inputs.sam[run.encoder]
        path = self.out / run.name / "untrained.safetensors"
        return write_untrained(path, self.scale.size(run), model_mpp(run.dataset, self.scale), inference(run))

    def _score(self, run: Experiment, weights: Path, settings: Mapping[str, Any], base: str = "") -> Scores:
        opened = self._set(run.dataset)
        segmenter = choose_segmenter(str(weights), settings, sam_checkpoint=base)
        with self.callbacks.images(f"score {run.name}", len(opened.tested)) as on_image:
            return evaluate_model(
                segmenter,
                opened.tested,
                experts=run.experts,
                on_image=on_image,
                on_bad=self._left_out if opened.source.settings.skip_bad else None,
            )

    def _left_out(self, error: DataError) -> None:
        self.callbacks.on_bad(str(error))
