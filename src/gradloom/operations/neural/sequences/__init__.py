"""Recurrent operations (lstm, gru), and ctc."""
