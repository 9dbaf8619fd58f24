"""What persam raises. Every message says what is wrong, what was got, and what to do next."""


class PerSAMError(Exception):
    """Anything a caller can put right. The command line prints the message and exits with 2."""


class ImageError(PerSAMError):
    """A photo that cannot be read or used."""


class MaskError(PerSAMError):
    """A mask or another marking of the object that cannot be used."""


class ConceptError(PerSAMError):
    """A concept that cannot be loaded, or does not belong to this backbone."""


class WeightsError(PerSAMError):
    """Model weights that are missing, damaged, or of an unknown kind."""


class VideoError(PerSAMError):
    """A clip that cannot be read, or a place in it that is not there."""


class TrackingError(PerSAMError):
    """Something that cannot be tracked, or a correction that belongs to no frame of the track."""


class DreamBoothError(PerSAMError):
    """Photos, masks or settings that masked DreamBooth cannot train with."""


class OutputError(PerSAMError):
    """A result that cannot be written where it should go."""


class DiskFullError(OutputError):
    """A disk or a quota without room: nothing more can be written there."""


class OutOfMemoryError(PerSAMError):
    """An image, or what is looked for in it, needs more memory than the device has free."""


class LimitError(PerSAMError):
    """A file, a photo, a number of them or a time beyond what `persam serve` was started to take."""


class DataError(PerSAMError):
    """A benchmark's folder that does not hold what its layout promises."""


class CalibrationError(PerSAMError):
    """A calibration that cannot be loaded or fitted, or belongs to another backbone."""


class NotCalibratedWarning(UserWarning):
    """A backbone has no calibration, so that presence cannot be judged and nothing is refused."""


class InputWarning(UserWarning):
    """A photo or a mask was read, though perhaps not as it was meant; or a folder holds what was left out."""


class CacheWarning(UserWarning):
    """A cache that was asked for cannot keep what was made; the results are the same without it."""
