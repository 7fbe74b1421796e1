"""Language models that judge answers: what they are asked, who is asked, and what their replies say."""
