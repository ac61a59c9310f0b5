"""A runner that starts several processes on CPUs as on GPUs."""

import os
import re
from typing import Any

from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, load_state_dict
from torch import nn

from ..tasks import read_checkpoint
from .hooks.resumable_checkpoint import ResumableCheckpointHook
from .resumed_settings import resume_by_config
from .unwrap import unwrap_model

# Local rank and rank, as each launcher names them.
VARIABLES = {
    'pytorch': ('LOCAL_RANK', 'RANK'),
    'slurm': ('SLURM_LOCALID', 'SLURM_PROCID'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_RANK'),
}
# Hooks that the host has whatever a config says; None removes one.
HOOKS_OF_HOST = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
)


# Tools look runners up in mmengine's registry, not in MMPretrain's.
@RUNNERS.register_module()
class AnyDeviceRunner(Runner):
    """The host's runner; its processes may also be on CPUs.

    The host's start of ``pytorch``, ``slurm`` and ``mpi`` chooses a GPU by
    the local rank, and its wrapper passes it on. Without a GPU this runner
    gives a local rank of -1, which ``torch.cuda.set_device`` ignores, the
    backend gloo, and no device.

    The key ``compile`` compiles the backbone; the host's compiles the whole
    step, with data samples and optimizer, which newer versions of torch
    cannot.

    A resumed run follows its config, not the hyper-parameters of the
    checkpoint, and says where they differ.

    Raises:
        RuntimeError: If the launcher has not set the rank.
    """

    def train(self) -> nn.Module:
        """Train; a run that fails leaves signals to their old handlers."""
        try:
            return super().train()
        finally:
            for hook in self.hooks:
                if isinstance(hook, ResumableCheckpointHook):
                    hook.give_signals_back()

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register hooks by name; any name may be None, for no such hook."""
        named = {
            name: hook
            for name, hook in (hooks or {}).items()
            if hook is not None or name in HOOKS_OF_HOST
        }
        super().register_default_hooks(named)

    def setup_env(self, env_cfg: dict) -> None:
        """Join the group of processes, if there are several."""
        if not self.distributed or is_distributed():
            super().setup_env(env_cfg)
            return
        for variable in reversed(VARIABLES[self.launcher]):
            if variable not in os.environ:
                raise RuntimeError(
                    f'--launcher {self.launcher}: {variable} is not set; '
                    'start by torchrun, srun or mpirun, or leave it out.'
                )
        local_rank = os.environ[variable]
        if get_device() == 'cpu':
            dist_cfg = {**env_cfg.get('dist_cfg', {}), 'backend': 'gloo'}
            env_cfg = {**env_cfg, 'dist_cfg': dist_cfg}
            os.environ[variable] = '-1'
        super().setup_env(env_cfg)
        # The wrapper reads LOCAL_RANK, which mpirun does not set.
        os.environ[variable] = os.environ['LOCAL_RANK'] = local_rank

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = 'cpu',
        strict: bool = False,
        revise_keys: Any = ((r'^module\.', ''),),
    ) -> dict:
        """Read a checkpoint safely, a task file among them, and load it."""
        checkpoint = read_checkpoint(str(filename), map_location)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        state = checkpoint.get('state_dict', checkpoint)
        for pattern, new in revise_keys:
            state = {re.sub(pattern, new, k): v for k, v in state.items()}
        load_state_dict(unwrap_model(self.model), state, strict, self.logger)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def wrap_model(
        self, model_wrapper_cfg: dict | None, model: nn.Module
    ) -> nn.Module:
        """Wrap the model for several processes; ``device`` is for one."""
        if self.distributed and get_device() == 'cpu':
            model_wrapper_cfg = {
                'type': 'MMDistributedDataParallel',
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get(
                    'find_unused_parameters', False
                ),
                **(model_wrapper_cfg or {}),
                'device_ids': None,
            }
        model = super().wrap_model(model_wrapper_cfg, model)
        device = self.cfg.get('device')
        if device is None:
            return model
        if self.distributed:
            raise ValueError(
                f'device={device!r} is for one process; several take a device '
                'each.'
            )
        return model.to(device)

    def resume(self, *args: Any, **kwargs: Any) -> None:
        """Resume from a checkpoint, with the settings of the config."""
        load = super().resume
        resume_by_config(self, lambda: load(*args, **kwargs))

    def _maybe_compile(self, target: str) -> None:
        """Compile the backbone, by arguments of ``torch.compile``."""
        options = self.cfg.get('compile') or False
        if options is False:
            return
        backbone = unwrap_model(self.model).backbone
        backbone.compile(**({} if options is True else options))
        self.logger.info(
            'The backbone is compiled in the first iteration, which takes '
            'its time.'
        )
