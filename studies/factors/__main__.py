"""Run the study: python -m studies.factors."""

from studies.factors.study import main

if __name__ == "__main__":
    main()
