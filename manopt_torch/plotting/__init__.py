"""Pictures and tables of runs; matplotlib and pandas are imported when a function is called."""

from manopt_torch.plotting.record import plot_record as plot_record
from manopt_torch.plotting.record import record_to_frame as record_to_frame
