import subprocess
import sys


def test_importing_the_sources_loads_no_heavy_library():
    """pyRadPlan alone takes seconds to import: it, SimpleITK and pydicom wait for the first use."""
    code = (
        "import sys; from radplan_env import case, export; from radplan_env.sources import dicom, matrad, openkbp;"
        "from radplan_env.beam_models import beam_model_named; beam_model_named('matrad-generic');"
        "print([m for m in ('pyRadPlan', 'SimpleITK', 'pydicom') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]", run.stdout
