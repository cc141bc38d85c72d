"""Run the study: python -m studies.pretraining."""

from studies.pretraining.study import main

if __name__ == "__main__":
    main()
