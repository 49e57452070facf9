"""Record actions: keep values of a run, to look at afterwards."""

from manopt_torch.plans.record.base import RecordAction as RecordAction
from manopt_torch.plans.record.base import record_or_reset as record_or_reset
from manopt_torch.plans.record.entry import RecordEntry as RecordEntry
from manopt_torch.plans.record.entry import RecordEntryChange as RecordEntryChange
from manopt_torch.plans.record.entry import RecordStoppingReason as RecordStoppingReason
from manopt_torch.plans.record.export import get_record as get_record
from manopt_torch.plans.record.export import has_record as has_record
from manopt_torch.plans.record.export import record_to_dict as record_to_dict
from manopt_torch.plans.record.factory import RecordActionFactory as RecordActionFactory
from manopt_torch.plans.record.factory import RecordFactory as RecordFactory
from manopt_torch.plans.record.group import RecordEvery as RecordEvery
from manopt_torch.plans.record.group import RecordGroup as RecordGroup
from manopt_torch.plans.record.value import RecordChange as RecordChange
from manopt_torch.plans.record.value import RecordCost as RecordCost
from manopt_torch.plans.record.value import RecordGradient as RecordGradient
from manopt_torch.plans.record.value import RecordGradientNorm as RecordGradientNorm
from manopt_torch.plans.record.value import RecordIterate as RecordIterate
from manopt_torch.plans.record.value import RecordIteration as RecordIteration
from manopt_torch.plans.record.value import RecordProximalParameter as RecordProximalParameter
from manopt_torch.plans.record.value import RecordStepsize as RecordStepsize
from manopt_torch.plans.record.value import RecordTime as RecordTime
