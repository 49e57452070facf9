"""Pictures of runs and of data, tables of runs; matplotlib and pandas are imported when a function is called."""

from manopt_torch.plotting.circle import plot_circle_signal as plot_circle_signal
from manopt_torch.plotting.circle import plot_phase_image as plot_phase_image
from manopt_torch.plotting.record import plot_record as plot_record
from manopt_torch.plotting.record import record_to_frame as record_to_frame
from manopt_torch.plotting.spd import plot_spd_image as plot_spd_image
from manopt_torch.plotting.sphere import plot_direction_image as plot_direction_image
from manopt_torch.plotting.sphere import plot_sphere as plot_sphere
