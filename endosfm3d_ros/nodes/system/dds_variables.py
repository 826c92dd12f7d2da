"""Variables of the environment that choose how messages travel; also read by the launch file."""

VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
PROFILE_VARIABLES = (VARIABLE, "FASTDDS_DEFAULT_PROFILES_FILE")  # old and new name
LARGE_MESSAGES = "ENDOSFM3D_LARGE_MESSAGES"  # false leaves the transport as Fast DDS has it
