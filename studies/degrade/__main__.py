"""Run the study: python -m studies.degrade."""

from studies.degrade.study import main

if __name__ == "__main__":
    main()
