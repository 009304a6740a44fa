"""LoRA through PEFT: low-rank updates of the family's linear layers, and of the embeddings where the recipe says so.

Hu et al. 2021, https://arxiv.org/abs/2106.09685; ranks and targets of the study (study.md section 5). lm_head is left
out of the targets: with tied embeddings a merged lm_head would change the input embedding too.
"""

from __future__ import annotations

from typing import Any

from raysweep.models.base import FAMILIES
from raysweep.records import ModelKind
from raysweep.trainers.base import TRAINERS, Services, Trainer, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.full import load_for_training
from raysweep.trainers.gates import check_adapter_acts, check_saved
from raysweep.trainers.loop import TrainingLoop, own_torch_rng


@TRAINERS.register("lora")
class Lora(Trainer):
    """Trains an adapter and saves it as PEFT does.

    `recipe.lora`: r (16), alpha (32), dropout (.1), targets (module names; none: the family's) and train_embeddings
    (false; true trains whole copies of the family's embeddings, which unties tied ones).
    """

    kind = ModelKind.ADAPTER

    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """See `Trainer.train`. Raises RaysweepError on an adapter that doesn't act or a result that is not whole."""
        from peft import get_peft_model_state_dict

        with own_torch_rng(job.seed, "initialise"):
            model, tokenizer = load_for_training(job.base)
            model = add_adapter(model, job)
            data = encode_set(job, tokenizer, model.config)
            check_adapter_acts(model, data.rows[0])
            counts = TrainingLoop(model, data, job, services).run()
        if services.rank == 0:
            # False: else PEFT asks the hub whether the vocabulary grew; trained embeddings are saved in any case
            names = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
            model.save_pretrained(job.out, save_embedding_layers=False)
            tokenizer.save_pretrained(job.out)
            check_saved(job.out, [{name} for name in names])
        return counts


def add_adapter(model: Any, job: TrainJob) -> Any:
    """Wrap a model with a fresh adapter as the job's recipe asks.

    The family is looked up only for what the recipe leaves to it, so targets make any architecture work.

    Raises:
        UnknownName: the family isn't registered, and the recipe names no targets or trains embeddings.
    """
    from peft import LoraConfig, get_peft_model

    lora = job.recipe.lora
    targets = lora.get("targets") or FAMILIES.get(job.family).lora_targets
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=int(lora.get("r", 16)),
        lora_alpha=int(lora.get("alpha", 32)),
        lora_dropout=float(lora.get("dropout", 0.1)),
        target_modules=list(targets),
        modules_to_save=list(FAMILIES.get(job.family).embeddings) if lora.get("train_embeddings") else None,
    )
    return get_peft_model(model, config)
