"""What `endosfm3d run` leaves for people: tables, figures, a page, and one grade with reasons."""
