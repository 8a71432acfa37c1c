package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
)

// A branch is the body of an if, else or clause.
type branch struct {
	file     string // import path and name, as in a profile
	function string
	from, to place
}

func (b branch) String() string { return fmt.Sprintf("%s:%s:%d", b.file, b.function, b.from.line) }

// branches returns the error branches of a package in the order of its files, and how many do nothing but panic.
func (s *source) branches() (found []branch, panics int) {
	for _, f := range s.files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			s.walk(fn.Body, func(from, to token.Pos, body []ast.Stmt) {
				if len(body) == 1 && isPanic(body[0]) {
					panics++
					return
				}
				at, end := s.fset.Position(from), s.fset.Position(to)
				found = append(found, branch{path.Join(s.name, filepath.Base(at.Filename)), functionName(fn),
					place{at.Line, at.Column}, place{end.Line, end.Column}})
			})
		}
	}
	return found, panics
}

// walk calls visit for each error branch below n.
func (s *source) walk(n ast.Node, visit func(from, to token.Pos, body []ast.Stmt)) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			if s.asksForError(n.Cond) || s.returnsNewError(n.Body.List) {
				visit(n.Body.Lbrace, n.Body.End(), n.Body.List)
			}
			if e, ok := n.Else.(*ast.BlockStmt); ok && (s.asksForNoError(n.Cond) || s.returnsNewError(e.List)) {
				visit(e.Lbrace, e.End(), e.List)
			}
		case *ast.CaseClause:
			ask := false
			for _, e := range n.List {
				ask = ask || s.asksForError(e)
			}
			if ask || s.returnsNewError(n.Body) {
				visit(n.Colon, n.End()+1, n.Body)
			}
		case *ast.CommClause:
			if s.returnsNewError(n.Body) {
				visit(n.Colon, n.End()+1, n.Body)
			}
		}
		return true
	})
}

// asksForError says whether a condition compares an error with something, other than for being nil, or asks what it is.
func (s *source) asksForError(cond ast.Expr) bool { return s.compares(cond, token.NEQ) }

// asksForNoError says whether a condition compares an error for being nil.
func (s *source) asksForNoError(cond ast.Expr) bool { return s.compares(cond, token.EQL) }

func (s *source) compares(cond ast.Expr, withNil token.Token) (yes bool) {
	ast.Inspect(cond, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // what it decides is decided elsewhere
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ || !s.isError(n.X) {
				return true
			}
			yes = yes || !s.info.Types[n.Y].IsNil() || n.Op == withNil
		case *ast.CallExpr:
			o := s.callee(n)
			yes = yes || withNil == token.NEQ && o != nil && o.Pkg() != nil && o.Pkg().Path() == "errors" && (o.Name() == "Is" || o.Name() == "As" || o.Name() == "AsType")
		}
		return true
	})
	return yes
}

// returnsNewError says whether one of the statements, not one within them, returns an error that is made there.
func (s *source) returnsNewError(body []ast.Stmt) bool {
	for _, st := range body {
		if r, ok := st.(*ast.ReturnStmt); ok && len(r.Results) > 0 && s.isNewError(r.Results[len(r.Results)-1]) {
			return true
		}
	}
	return false
}

func (s *source) isNewError(e ast.Expr) bool {
	if !s.isError(e) {
		return false
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.CompositeLit:
		return true
	case *ast.UnaryExpr: // &CorruptError{…}
		return e.Op == token.AND && s.isNewError(e.X)
	case *ast.Ident:
		return isPackageVar(s.info.Uses[e])
	case *ast.SelectorExpr:
		return isPackageVar(s.info.Uses[e.Sel])
	case *ast.CallExpr:
		o := s.callee(e)
		return o != nil && (s.makes[o] || o.Pkg() != nil && (o.Pkg().Path() == "errors" && o.Name() == "New" || o.Pkg().Path() == "fmt" && o.Name() == "Errorf"))
	}
	return false
}

// makers are the functions of the package whose only result is an error and that return nothing but new ones.
func (s *source) makers() map[types.Object]bool {
	found := map[types.Object]bool{}
	for range 3 { // they may call each other
		for _, f := range s.files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil || fn.Type.Results.NumFields() != 1 {
					continue
				}
				returns, all := 0, true
				ast.Inspect(fn.Body, func(n ast.Node) bool {
					if r, ok := n.(*ast.ReturnStmt); ok {
						s.makes = found
						returns, all = returns+1, all && len(r.Results) == 1 && s.isNewError(r.Results[0])
					}
					_, literal := n.(*ast.FuncLit)
					return !literal
				})
				if returns > 0 && all {
					found[s.info.Defs[fn.Name]] = true
				}
			}
		}
	}
	return found
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// isError says whether an expression, not the constant nil, is an error, or a pointer to one for a composite literal.
func (s *source) isError(e ast.Expr) bool {
	t := s.info.Types[e]
	if t.Type == nil || t.IsNil() {
		return false
	}
	return types.Implements(t.Type, errorType) || types.Implements(types.NewPointer(t.Type), errorType)
}

func (s *source) callee(call *ast.CallExpr) types.Object {
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		return s.info.Uses[f]
	case *ast.SelectorExpr:
		return s.info.Uses[f.Sel]
	}
	return nil
}

func isPackageVar(o types.Object) bool {
	v, ok := o.(*types.Var)
	return ok && v.Parent() == v.Pkg().Scope()
}

func isPanic(st ast.Stmt) bool {
	e, ok := st.(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := e.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.Ident)
	return ok && f.Name == "panic"
}

// functionName is a function's name, with its receiver's type.
func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if x, ok := t.(*ast.IndexExpr); ok {
		t = x.X
	}
	return t.(*ast.Ident).Name + "." + fn.Name.Name
}
