from solver.solution import EquilibriumSet
def vertex_enumeration(game, *, capacity=None): raise NotImplementedError
