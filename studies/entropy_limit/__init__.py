"""How few bits a token could take if the speed of the entropy coder did not matter."""
