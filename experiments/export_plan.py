"""Export a plan of a run as DICOM: CT, RTSTRUCT and RTDOSE that any viewer opens together."""

import sys

from radplan_experiments.commands.export import main

if __name__ == "__main__":
    sys.exit(main(program=("python", sys.argv[0])))
