from .backbone import AdaptedBackbone
from .distilled_beit import DistilledBEiT
from .flat_backbones import (
    AdaptFormerBackbone,
    BlockFeatures,
    FineTunedBackbone,
    FrozenFeatures,
    GateVPTBackbone,
    LoRABackbone,
    VPTBackbone,
    VPTMBackbone,
)
from .grad_cam_backbone import GradCAMBackbone
from .head import PrototypeVerbalizerHead
from .readouts import Readout
from .teacher_features import TeacherFeatures
from .tokenizers.feature_kmeans import FeatureKMeansTokenizer
from .tokenizers.kept_tokens import KeptTokens
from .tokenizers.patch_kmeans import PatchKMeansTokenizer
from .tokenizers.vqkd_distiller import VQKDDistiller
from .tokenizers.vqkd_tokenizer import VQKDTokenizer
from .tunings import Tuning
